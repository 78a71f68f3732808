use std::collections::{HashMap, HashSet as Set};
use crate::inner::*;
mod inner;
/// A point.
#[derive(Debug)]
pub struct Point<T> { pub x: T, y: T }
struct Unit(u32);
pub enum Shape { Circle(f64), Rect { w: f64, h: f64 } }
union Bits { f: f32, u: u32 }
pub trait Area { const N: usize; fn area(&self) -> f64; fn twice(&self) -> f64 { self.area() * 2.0 } }
impl Area for Shape { const N: usize = 1; fn area(&self) -> f64 { compute(self, LIMIT) } }
impl<T> Point<T> { pub fn new(x: T, y: T) -> Self { Point { x, y } } }
const LIMIT: u32 = 3;
static mut COUNT: usize = 0;
type Alias = HashMap<String, Set<u8>>;
macro_rules! square { ($x:expr) => { $x * $x }; }
fn main() { let v = vec![1]; println!("{}", square!(v.len())); inner::run::<u8>(); let c = |a| a + 1; }
mod tests { fn inside() { super::main(); } }
extern "C" { fn outside(x: i32); }
