import Foundation
/// A shape.
public class Shape<T>: Base, Area {
    static let limit = 10
    var count: Int = 0
    init(n: Int) { super.init(); setup(n) }
    deinit { }
    func area() -> Double { let local = compute(Shape.limit); return local.value }
    subscript(i: Int) -> Int { return i }
    enum Color { case red, green(Int) }
}
protocol Area { func area() -> Double; var name: String { get } }
struct Point { let x: Int }
enum Kind: Int { case one = 1; case two }
extension Point: Area { func extra() {} }
typealias Id = String
func top(a: Int, _ b: Int) -> Point { return Point(x: a) }
let GLOBAL = 1
