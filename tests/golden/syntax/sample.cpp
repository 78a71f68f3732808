#include <vector>
#include "shape.h"
#define SQUARE(x) ((x) * (x))
namespace geo {
using std::vector;
using Real = double;
typedef struct Pair { int a, b; } Pair;
enum class Color : int { Red, Green };
// A shape.
template <typename T> class Shape : public Base {
public:
    explicit Shape(int n) : count(n) { init(); }
    virtual ~Shape();
    T area() const { return SQUARE(side) * scale_of(this); }
    bool operator==(const Shape &other) const;
    static int total;
private:
    int count = 0;
    T *side;
};
int Shape<int>::total = 0;
extern const int LIMIT;
static Real helper(Real x);
Real Outer::measure(const Pair &p) { auto f = [&](int z) { return z + p.a; }; return f(p.b) + geo::helper(1.0); }
Pair *make_pair(int a) { return new Pair{a, a}; }
std::string &name_of(Pair &p) { static std::string s; return s; }
concept_t value;
} // namespace geo
