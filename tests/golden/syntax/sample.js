import React, { useState } from 'react';
import * as path from "path";
const fs = require('fs');
/** Adds. */
export function add(a, b) { return helper(a) + b; }
export default class Counter extends Base {
  count = 0;
  #hidden = 1;
  constructor(x) { super(x); this.x = x; }
  get value() { return this.count; }
  static create() { return new Counter(LIMIT); }
}
const LIMIT = 10;
let handler = (event) => { render(event.target); };
var old = function named() { return old.call(fs); };
module.exports = { handler, run() { return 1; } };
Counter.prototype.extra = function () { return add(1, 2); };
function* gen() { yield 1; }
