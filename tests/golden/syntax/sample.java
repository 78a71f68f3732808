package com.example.app;
import java.util.List;
import static java.lang.Math.*;
/** A shape. */
@Deprecated
public abstract class Shape<T extends Number> extends Base implements Area, Other {
    public static final int LIMIT = 10;
    private List<T> items, others;
    public Shape(int n) { super(n); this.items = make(n); }
    @Override public double area() { return compute(LIMIT) * new Circle(2).radius; }
    abstract void grow(int by) throws IOException;
    enum Color { RED, GREEN(2); int value; }
    interface Visitor { void visit(Shape<?> s); }
    @interface Note { String value(); }
    record Point(int x, int y) { }
}
