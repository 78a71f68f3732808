import { A, type B } from './a';
export * from './b';
export interface Shape<T> extends Base { area(): number; readonly name: string; }
export type Id = string | number;
export enum Color { Red, Green = 2 }
export abstract class Circle implements Shape<number> {
  private radius: number = 1;
  constructor(private readonly x: number) { super(); }
  abstract grow(by: number): void;
  area(): number { return compute(this.radius); }
}
namespace Inner { export const value: Id = 1; }
declare module "ext" { function outside(x: string): void; }
export const mapper = <T,>(x: T): Shape<T> => convert(x);
function over(a: string): void;
function over(a: any) { let local = a; return local; }
declare const GLOBAL: B;
