"""Answers that are bound by a schema, judged by Python's json and jsonschema: all that the grammar makes is valid, and of what is
valid in the order of the schema's properties nothing is refused, nor anything accepted that isn't valid."""

import copy
import json
import os
import random
import subprocess
import sys

import jsonschema

TOOL = os.path.join(os.path.dirname(os.environ["FATHOM_PROGRAM"]), "tests", "tools", "grammar")

FINDING = {
    "type": "object", "additionalProperties": False, "required": ["findings", "summary"],
    "properties": {
        "findings": {"type": "array", "maxItems": 3, "items": {
            "type": "object", "additionalProperties": False, "required": ["path", "lines", "severity", "title"],
            "properties": {
                "path": {"enum": ["app/main.c", "na\u00efve \"quoted\".py", "tab\there"]},
                "lines": {"type": "array", "prefixItems": [{"type": "integer", "minimum": 3, "maximum": 1207},
                                                           {"type": "integer", "minimum": 3, "maximum": 1207}],
                          "items": False, "minItems": 2},
                "severity": {"enum": ["critical", "high", "medium", "low"]},
                "title": {"type": "string", "minLength": 1, "maxLength": 80},
                "detail": {"type": "string"}}}},
        "summary": {"type": "string", "maxLength": 12}}}

# A schema, and values that are tried besides those that come of it by chance.
CASES = [
    ({"type": "object"}, [{}, {"a": 1, "b": [None, True]}, [], 1]),
    ({}, [{}, [], "x", 1.5, None, False, {"a": {"b": []}}]),
    (True, [1, "a"]),
    (FINDING, [{"findings": [], "summary": "none"}, {"findings": [], "summary": "longer than twelve"}, {"findings": []}]),
    ({"type": "string", "minLength": 2, "maxLength": 4}, ["", "a", "ab", "abcd", "abcde", "\u00e9\U0001f600", "\"\\\n", 7]),
    ({"type": "string"}, ["", "\u0001", "\u2028", "a" * 300]),
    ({"type": "integer"}, [0, -1, 12, 1.5, "1", 10**15]),
    ({"type": "integer", "minimum": -17, "maximum": 1203}, list(range(-30, 30)) + [99, 100, 999, 1000, 1199, 1202, 1203, 1204, 9999]),
    ({"type": "integer", "minimum": 10, "maximum": 10}, [9, 10, 11, 100]),
    ({"type": "integer", "exclusiveMinimum": 7, "exclusiveMaximum": 101}, [6, 7, 8, 70, 99, 100, 101, 800]),
    ({"type": "integer", "maximum": -3}, [-3, -2, 0, 3, -10, -29, -30, -99999]),
    ({"type": "integer", "minimum": 8}, [7, 8, 9, 10, 99, 123456789]),
    ({"type": "number"}, [0, 0.5, -1.25, 1e5, 1e-7, "x"]),
    ({"type": ["string", "null"], "maxLength": 3}, ["abc", "abcd", None, 1]),
    ({"enum": ["a", 1, None, {"k": [1, "\u00e9"]}]}, ["a", 1, None, {"k": [1, "\u00e9"]}, "b", 2, {"k": []}]),
    ({"type": "string", "enum": ["a", 1]}, ["a", 1]),
    ({"const": [1, 2]}, [[1, 2], [1], [1, 2, 3]]),
    ({"type": "array", "items": {"type": "integer"}}, [[], [1], [1, 2, 3], [1, "a"], {}]),
    ({"type": "array", "items": {"type": "boolean"}, "minItems": 2, "maxItems": 3}, [[], [True], [True, False], [True] * 3, [True] * 4]),
    ({"type": "array", "minItems": 1}, [[], [None], [1, [2]]]),
    ({"type": "array", "maxItems": 0}, [[], [1]]),
    ({"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}]}, [[], ["a"], ["a", 1], ["a", 1, None], [1]]),
    ({"type": "array", "prefixItems": [{"type": "string"}], "items": {"type": "integer"}, "minItems": 2}, [["a"], ["a", 1], ["a", 1, 2], ["a", "b"]]),
    ({"anyOf": [{"type": "string", "maxLength": 2}, {"type": "integer"}, {"type": "array", "items": False}]}, ["ab", "abc", 3, [], [1]]),
    ({"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "string"}, "c": {"type": "null"}}, "required": ["b"],
      "additionalProperties": False},
     [{"a": 1, "b": "x", "c": None}, {"b": ""}, {"a": 1}, {}, {"b": "x", "c": None}, {"a": "1", "b": "x"}, {"b": "x", "d": 1}]),
    ({"type": "object", "properties": {"a": {"type": "integer"}, "ab": {"type": "integer"}, "\u00e9t\u00e9": {"type": "integer"}},
      "additionalProperties": {"type": "string"}},
     [{"a": 1, "ab": 2, "\u00e9t\u00e9": 3, "abc": "x", "b": "y", "": "z", "\u00e9": "q"}, {"abc": 1}, {"ab": "x"}, {"x": "y"}]),
    ({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["z", "a"], "additionalProperties": True},
     [{"a": 1, "z": []}, {"a": 1}, {"a": 1, "z": 2, "y": 3}]),
    ({"type": "object", "additionalProperties": {"type": "integer"}}, [{}, {"a": 1}, {"a": "b"}]),
    ({"$defs": {"node": {"type": "object", "additionalProperties": False, "required": ["value"], "properties": {
        "value": {"type": "integer"}, "next": {"$ref": "#/$defs/node"}}}}, "$ref": "#/$defs/node"},
     [{"value": 1}, {"value": 1, "next": {"value": 2, "next": {"value": 3}}}, {"value": 1, "next": {}}]),
    ({"type": "array", "items": {"$ref": "#"}}, [[], [[], [[]]], [1]]),
    ({"$defs": {"a/b~c": {"type": "integer"}}, "type": "object", "properties": {"x": {"$ref": "#/$defs/a~1b~0c"}},
      "additionalProperties": False}, [{"x": 1}, {"x": "1"}, {}]),
    ({"properties": {"t": {"oneOf": [{"const": "a"}, {"const": "b"}]}}, "required": ["t"], "additionalProperties": False}, [{"t": "a"}, {"t": "c"}]),
    ({"allOf": [{"type": "integer"}]}, [1, "1"]),
    ({"type": "string", "format": "date", "title": "a remark", "description": "another", "default": "x"}, ["2020-01-01"]),
]

REFUSED = [
    ('{"type":', "no JSON"), ("[1]", "must be an object"), ('{"type":"strange"}', "is no type"), ('{"pattern":"a"}', "pattern"),
    ('{"type":"number","minimum":1.5}', "whole numbers"), ('{"not":{}}', "'not'"), ('{"$ref":"#/nowhere"}', "not within"),
    ('{"$ref":"http://elsewhere/schema"}', "not within"), ('{"$ref":"#"}', "circle"), ('{"anyOf":[{"$ref":"#"},{"type":"null"}]}', "circle"),
    ('{"$defs":{"a":{"$ref":"#/$defs/b"},"b":{"$ref":"#/$defs/a"}},"$ref":"#/$defs/a"}', "circle"), ('{"enum":[]}', "isn't empty"),
    ("false", "nothing"), ('{"type":"integer","minimum":5,"maximum":4}', "limits"), ('{"type":"array","minItems":3,"maxItems":2}', "no array"),
    ('{"type":"string","minLength":-1}', "not negative"), ('{"type":"string","minLength":1e9}', "more than"), ('{"type":"string","maxLength":1.5}', "whole number"),
    ('{"allOf":[{},{}]}', "allOf"), ('{"anyOf":[{}],"enum":[1]}', "several kinds"), ('{"type":"object","required":["a"],"additionalProperties":false}', "not allowed"),
    ('{"type":"object","required":[1]}', "names"), ('{"type":"object","properties":{"a":false},"required":["a"]}', "nothing is allowed"),
    ('{"enum":["x"],"type":"integer"}', "allows nothing"), ('{"type":[]}', "'type'"), ('{"minimum":1,"maxLength":2}', "need a 'type'"),
    ("{" + '"items":{' * 5000 + "}" * 5000 + "}", "no JSON"), ('{"type":"string","maxLength":100000,"minLength":99999,"title":"long"}', None),
]


def run(*arguments, stdin=""):
    return subprocess.run([TOOL, *arguments], input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", check=False)


def is_valid(value, schema):
    return jsonschema.Draft202012Validator(schema).is_valid(value)


def ordered(value, schema):
    """Whether properties stand in the schema's order, the others behind them: what the grammar asks for."""
    if not isinstance(schema, dict):
        return True
    if "properties" in schema and "type" not in schema and not isinstance(value, dict):
        return False  # without a type, an object is meant
    if isinstance(value, dict):
        names = list(schema.get("properties", {}))
        names += [name for name in schema.get("required", []) if name not in names]
        places = [names.index(key) if key in names else len(names) for key in value]
        return places == sorted(places) and all(ordered(v, schema.get("properties", {}).get(k)) for k, v in value.items())
    if isinstance(value, list):
        return all(ordered(item, schema.get("items")) for item in value)
    return True


def others_asked_for(value, schema):
    """Properties that the schema doesn't name come only where additionalProperties asks for them, and without escapes."""
    if isinstance(value, dict) and isinstance(schema, dict) and "properties" in schema and "additionalProperties" not in schema:
        return all(key in schema["properties"] or key in schema.get("required", []) for key in value)
    return all(not set(key) & set('"\\') and key.isprintable() for v in walk(value) if isinstance(v, dict) for key in v)


def change(value, chance):
    """Another value, by one small change somewhere."""
    value = copy.deepcopy(value)
    if isinstance(value, dict) and value and chance.random() < 0.7:
        key = chance.choice(list(value))
        if chance.random() < 0.3:
            del value[key]
        else:
            value[key] = change(value[key], chance)
        return value
    if isinstance(value, list) and chance.random() < 0.8:
        what = chance.random()
        if value and what < 0.5:
            at = chance.randrange(len(value))
            value[at] = change(value[at], chance)
        elif value and what < 0.7:
            del value[chance.randrange(len(value))]
        else:
            value.append(copy.deepcopy(chance.choice(value)) if value else 1)
        return value
    if isinstance(value, str) and chance.random() < 0.6:
        return value[:-1] if chance.random() < 0.5 else value + chance.choice("x\"\u00e9\\")
    if isinstance(value, int) and not isinstance(value, bool) and chance.random() < 0.7:
        return value + chance.choice([-1, 1, 10, -10, 1000])
    return chance.choice([None, True, 0, -3, "", "a", [], {}, 7, 2.5])


def check_case(number, schema, values, chance):
    text = json.dumps(schema)
    made = run("make", text, "60", str(number))
    assert made.returncode == 0, f"{text[:200]}: {made.returncode} {made.stdout[-300:]}{made.stderr[-300:]}"
    answers = [json.loads(line) for line in made.stdout.splitlines()]
    assert len(answers) >= 40, f"{text[:200]}: only {len(answers)} answers ended"
    found = []
    for answer in answers:
        value = json.loads(answer)
        assert is_valid(value, schema), f"{text[:200]} gave {answer[:300]}"
        found.append(value)
    tried = list(values) + found[:30] + [change(value, chance) for value in list(values) + found[:30] for _ in range(4)]
    compact = {"separators": (",", ":"), "ensure_ascii": False}
    dumps = [(value, json.dumps(value, **form), form is compact)
             for value in tried for form in (compact, {"separators": (",", ":")}, {}, {"indent": 2}, {"ensure_ascii": False})]
    lines = run("check", text, stdin="".join(json.dumps(dump) + "\n" for _, dump, _ in dumps)).stdout.splitlines()
    assert len(lines) == len(dumps)
    fixed = fixed_values(schema)
    n_valid = n_invalid = 0
    for (value, dump, is_compact), verdict in zip(dumps, lines):
        valid = is_valid(value, schema)
        if not valid:
            n_invalid += 1
            assert verdict != "yes", f"{text[:200]} takes {dump[:300]}"
        elif ordered(value, schema) and others_asked_for(value, schema) and spelled_alike(value, is_compact, fixed):
            n_valid += 1
            assert verdict == "yes", f"{text[:200]} refuses {dump[:300]}: {verdict}"
    return n_valid, n_invalid


def fixed_values(schema):
    """All that an enum or a const within the schema lists."""
    if isinstance(schema, list):
        return [value for item in schema for value in fixed_values(item)]
    if not isinstance(schema, dict):
        return []
    own = list(schema.get("enum", [])) + ([schema["const"]] if "const" in schema else [])
    return own + [value for key, item in schema.items() if key not in ("enum", "const") for value in fixed_values(item)]


def spelled_alike(value, is_compact, fixed):
    """Enumerated values and names have one spelling, and 1.0 is no whole number to the grammar."""
    keys = [key for v in walk(value) if isinstance(v, dict) for key in v]
    one_way = all(key.isascii() for key in keys) and all(v is None or isinstance(v, (int, str)) and json.dumps(v, ensure_ascii=False) in (f'"{v}"', str(v)) and str(v).isascii()
                  for v in fixed)
    return (one_way or is_compact) and not any(isinstance(v, float) and v.is_integer() for v in walk(value))


def walk(value):
    yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else []:
        yield from walk(item)


def main():
    chance = random.Random(5)
    failed = 0
    n_valid = n_invalid = 0
    for number, (schema, values) in enumerate(CASES):
        try:
            counts = check_case(number, schema, values, chance)
            n_valid, n_invalid = n_valid + counts[0], n_invalid + counts[1]
            print(f"ok grammar: {json.dumps(schema)[:70]}")
        except AssertionError as problem:
            failed += 1
            print(f"not ok grammar: {json.dumps(schema)[:70]}\n# {problem}")
    print(f"# {n_valid} valid texts taken, {n_invalid} others refused")
    print(("ok" if n_valid > 3000 and n_invalid > 3000 else "not ok") + " grammar: enough was tried")
    for text, why in REFUSED:
        result = run("make", text, "1", "1")
        good = result.returncode == 0 if why is None else result.returncode == 3 and why in result.stdout
        failed += not good
        print(("ok" if good else "not ok") + f" grammar: {text[:60]} {'is taken' if why is None else 'is refused: ' + why}")
        if not good:
            print(f"# {result.returncode} {result.stdout[:200]}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
