package com.example
import java.util.List
import kotlin.math.*
/** A shape. */
abstract class Shape<T>(val n: Int, private var m: String) : Base(n), Area {
    val limit = 10
    companion object { const val MAX = 5; fun create() = Circle(MAX) }
    abstract fun grow(by: Int)
    override fun area(): Double { val local = compute(limit); return local * n }
    init { setup() }
}
interface Area { fun area(): Double }
data class Point(val x: Int, val y: Int)
enum class Color { RED, GREEN }
object Single { fun run() {} }
typealias Id = String
fun <T> T.extend(x: Int): T = helper(this).also { println(it) }
const val TOP = 1
var mutable: Int = TOP
