/* grammar_schema: from a JSON schema (draft 2020-12) to a grammar.
 *
 * Every schema within the schema becomes a rule; a rule that is asked for is put on a list, from which they are built one by one, so
 * that nothing is as deep as the schema. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "engine/grammar_private.h"

enum { MOST_TEXT = 1 << 20, MOST_MEMBERS = 2000, MOST_REPEATS = 100000 };

static const int64_t LARGEST_INTEGER = INT64_C(9999999999999999);

struct compiler {
    struct grammar *grammar;
    const cJSON *root;
    /* Schemas that have a rule, in the order in which they got it. */
    const cJSON **schemas;
    uint32_t *rules;
    size_t n, capacity;
    struct error *error;
    enum status status;
};

static void fail(struct compiler *c, enum status status, const char *what, const char *name)
{
    if (!c->status)
        c->status = error_set(c->error, status, what, name);
}

/* ---- looking up ---- */

static const cJSON *get(const cJSON *schema, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(schema, key);
}

static uint32_t rule_of(struct compiler *c, const cJSON *schema)
{
    for (size_t i = 0; i < c->n; i++)
        if (c->schemas[i] == schema)
            return c->rules[i];
    if (c->status)
        return RULE_ANY;
    if (c->n == c->capacity) {
        size_t more = c->capacity ? c->capacity * 2 : 64;
        const cJSON **schemas = realloc(c->schemas, more * sizeof *schemas);
        if (schemas)
            c->schemas = schemas;
        uint32_t *rules = realloc(c->rules, more * sizeof *rules);
        if (rules)
            c->rules = rules;
        if (!schemas || !rules) {
            fail(c, STATUS_MEMORY, "out of memory%s", "");
            return RULE_ANY;
        }
        c->capacity = more;
    }
    if (c->n > MOST_MEMBERS * 10)
        fail(c, STATUS_RANGE, "the schema has too many parts%s", "");
    c->schemas[c->n] = schema;
    c->rules[c->n] = grammar_add_rule(c->grammar);
    return c->rules[c->n++];
}

/* A JSON pointer (RFC 6901) behind '#'; NULL where it leads nowhere. */
static const cJSON *follow_pointer(const cJSON *at, const char *pointer)
{
    while (*pointer && at) {
        char key[256];
        size_t n = 0;
        if (*pointer++ != '/')
            return NULL;
        for (; *pointer && *pointer != '/' && n < sizeof key - 1; pointer++) {
            char byte = *pointer;
            if (byte == '~' && (pointer[1] == '0' || pointer[1] == '1'))
                byte = *++pointer == '0' ? '~' : '/';
            key[n++] = byte;
        }
        key[n] = 0;
        if (*pointer && *pointer != '/')
            return NULL;
        if (cJSON_IsArray(at)) {
            char *end;
            long index = strtol(key, &end, 10);
            at = *key && !*end && index >= 0 && index < 1 << 20 ? cJSON_GetArrayItem(at, (int)index) : NULL;
        } else {
            at = get(at, key);
        }
    }
    return at;
}

/* ---- keywords ---- */

enum part { PART_TYPE = 1, PART_OBJECT = 2, PART_ARRAY = 4, PART_STRING = 8, PART_NUMBER = 16, PART_CHOICE = 32 };

static const struct {
    const char *name;
    unsigned part; /* 0: says nothing of what is allowed */
} keywords[] = {
    {"$ref", PART_CHOICE},
    {"$schema", 0},
    {"$id", 0},
    {"$defs", 0},
    {"definitions", 0},
    {"$comment", 0},
    {"$anchor", 0},
    {"title", 0},
    {"description", 0},
    {"default", 0},
    {"examples", 0},
    {"deprecated", 0},
    {"readOnly", 0},
    {"writeOnly", 0},
    {"format", 0},
    {"contentEncoding", 0},
    {"contentMediaType", 0},
    {"strict", 0},
    {"type", PART_TYPE},
    {"enum", PART_CHOICE},
    {"const", PART_CHOICE},
    {"anyOf", PART_CHOICE},
    {"oneOf", PART_CHOICE},
    {"allOf", PART_CHOICE},
    {"properties", PART_OBJECT},
    {"required", PART_OBJECT},
    {"additionalProperties", PART_OBJECT},
    {"items", PART_ARRAY},
    {"prefixItems", PART_ARRAY},
    {"minItems", PART_ARRAY},
    {"maxItems", PART_ARRAY},
    {"minLength", PART_STRING},
    {"maxLength", PART_STRING},
    {"minimum", PART_NUMBER},
    {"maximum", PART_NUMBER},
    {"exclusiveMinimum", PART_NUMBER},
    {"exclusiveMaximum", PART_NUMBER},
};

/* Which parts the schema speaks of, and how many choices it has. */
static unsigned parts_of(struct compiler *c, const cJSON *schema, size_t *n_choices)
{
    unsigned parts = 0;
    *n_choices = 0;
    const cJSON *item;
    cJSON_ArrayForEach(item, schema)
    {
        size_t i = 0, n = sizeof keywords / sizeof *keywords;
        while (i < n && strcmp(keywords[i].name, item->string) != 0)
            i++;
        if (i == n)
            fail(c, STATUS_UNSUPPORTED, "schema: '%.60s' can't be held to", item->string);
        else
            parts |= keywords[i].part;
        *n_choices += i < n && keywords[i].part == PART_CHOICE;
    }
    return parts;
}

/* A count that a keyword gives; otherwise what it is without. */
static uint32_t count_of(struct compiler *c, const cJSON *schema, const char *key, uint32_t without)
{
    const cJSON *item = get(schema, key);
    if (!item)
        return without;
    double value = cJSON_IsNumber(item) ? item->valuedouble : -1;
    if (!(value >= 0) || value != floor(value))
        fail(c, STATUS_FORMAT, "schema: '%s' must be a whole number, not negative", key);
    else if (value > MOST_REPEATS)
        fail(c, STATUS_RANGE, "schema: '%s' is more than 100000", key);
    else
        return (uint32_t)value;
    return without;
}

/* ---- the kinds of values ---- */

static uint32_t value_of_rule(struct compiler *c, const cJSON *schema, uint32_t next)
{
    if (cJSON_IsTrue(schema))
        return build_call(c->grammar, RULE_ANY, next);
    if (cJSON_IsFalse(schema))
        return NOWHERE;
    return build_call(c->grammar, rule_of(c, schema), next);
}

/* ':' and a value behind a member's name. */
static uint32_t member_value(struct compiler *c, const cJSON *schema, uint32_t next)
{
    uint32_t value = schema ? value_of_rule(c, schema, next) : build_call(c->grammar, RULE_ANY, next);
    if (value == NOWHERE)
        return NOWHERE;
    return build_text(c->grammar, ":", 1, build_space(c->grammar, value));
}

/* The name as JSON writes it, its colon and value. */
static uint32_t build_member(struct compiler *c, const char *name, const cJSON *schema, uint32_t next)
{
    uint32_t value = member_value(c, schema, next);
    cJSON *string = cJSON_CreateStringReference(name);
    char *text = string ? cJSON_PrintUnformatted(string) : NULL;
    if (!text)
        fail(c, STATUS_MEMORY, "out of memory%s", "");
    uint32_t node = text && value != NOWHERE ? build_text(c->grammar, text, strlen(text), value) : NOWHERE;
    cJSON_free(text);
    cJSON_Delete(string);
    return node;
}

struct members {
    const char *names[MOST_MEMBERS];
    const cJSON *schemas[MOST_MEMBERS]; /* NULL: any */
    bool is_required[MOST_MEMBERS];
    size_t n;
};

static void add_member(struct compiler *c, struct members *members, const char *name, const cJSON *schema)
{
    if (members->n == MOST_MEMBERS) {
        fail(c, STATUS_RANGE, "schema: more than 2000 properties%s", "");
        return;
    }
    members->names[members->n] = name;
    members->schemas[members->n] = schema;
    members->is_required[members->n++] = false;
}

/* Of others than the listed ones: false where there are none. */
static bool other_members(const cJSON *schema, const cJSON **others)
{
    const cJSON *additional = get(schema, "additionalProperties");
    const cJSON *properties = get(schema, "properties");
    *others = cJSON_IsObject(additional) ? additional : NULL;
    if (additional)
        return !cJSON_IsFalse(additional);
    return !properties || cJSON_GetArraySize(properties) == 0;
}

static void list_members(struct compiler *c, const cJSON *schema, struct members *members)
{
    const cJSON *properties = get(schema, "properties"), *required = get(schema, "required"), *item;
    if ((properties && !cJSON_IsObject(properties)) || (required && !cJSON_IsArray(required))) {
        fail(c, STATUS_FORMAT, "schema: 'properties' must be an object, 'required' an array%s", "");
        return;
    }
    cJSON_ArrayForEach(item, properties)
    {
        size_t i = 0;
        while (i < members->n && strcmp(members->names[i], item->string) != 0)
            i++;
        if (i == members->n)
            add_member(c, members, item->string, item);
    }
    cJSON_ArrayForEach(item, required)
    {
        const char *name = cJSON_GetStringValue(item);
        if (!name) {
            fail(c, STATUS_FORMAT, "schema: 'required' must be names%s", "");
            return;
        }
        size_t i = 0;
        while (i < members->n && strcmp(members->names[i], name) != 0)
            i++;
        const cJSON *others;
        if (i == members->n) {
            const cJSON *additional = get(schema, "additionalProperties");
            if (cJSON_IsFalse(additional))
                fail(c, STATUS_UNSUPPORTED, "schema: '%.60s' is required, and not allowed", name);
            other_members(schema, &others);
            add_member(c, members, name, others);
        }
        if (i < members->n)
            members->is_required[i] = true;
    }
}

/* From the last member to the first, what may come when none has come yet, and when some have. */
static uint32_t build_object(struct compiler *c, const cJSON *schema, uint32_t next)
{
    struct grammar *g = c->grammar;
    struct members *members = calloc(1, sizeof *members);
    if (!members) {
        fail(c, STATUS_MEMORY, "out of memory%s", "");
        return NOWHERE;
    }
    list_members(c, schema, members);
    const cJSON *others;
    uint32_t close = build_space(g, build_text(g, "}", 1, next)), none = close, some = close;
    if (other_members(schema, &others)) {
        some = build_loop(g);
        uint32_t value = member_value(c, others, some);
        uint32_t name = build_text(g, "\"", 1, build_other_name(g, members->names, members->n, value));
        build_close(g, some, close, build_text(g, ",", 1, build_space(g, name)));
        none = build_either(g, close, build_space(g, name));
    }
    for (size_t i = members->n; i-- > 0 && !c->status && !g->failed;) {
        uint32_t member = build_member(c, members->names[i], members->schemas[i], some);
        if (member == NOWHERE && members->is_required[i])
            fail(c, STATUS_UNSUPPORTED, "schema: '%.60s' is required, and nothing is allowed for it",
                 members->names[i]);
        if (member == NOWHERE)
            continue;
        uint32_t first = build_space(g, member), further = build_text(g, ",", 1, first);
        none = members->is_required[i] ? first : build_either(g, first, none);
        some = members->is_required[i] ? further : build_either(g, further, some);
    }
    free(members);
    return build_text(g, "{", 1, none);
}

static uint32_t build_array(struct compiler *c, const cJSON *schema, uint32_t next)
{
    struct grammar *g = c->grammar;
    const cJSON *items = get(schema, "items"), *prefix = get(schema, "prefixItems");
    if ((prefix && !cJSON_IsArray(prefix)) || (items && !cJSON_IsObject(items) && !cJSON_IsBool(items)))
        fail(c, STATUS_FORMAT, "schema: 'items' must be a schema, 'prefixItems' an array%s", "");
    uint32_t n_prefix = prefix ? (uint32_t)cJSON_GetArraySize(prefix) : 0;
    uint32_t min = count_of(c, schema, "minItems", 0), max = count_of(c, schema, "maxItems", UINT32_MAX);
    if (cJSON_IsFalse(items) && max > n_prefix)
        max = n_prefix;
    if (n_prefix > MOST_MEMBERS)
        fail(c, STATUS_RANGE, "schema: more than 2000 items of their own%s", "");
    if (min > max)
        fail(c, STATUS_UNSUPPORTED, "schema: no array has so few and so many items%s", "");
    if (c->status)
        return NOWHERE;
    uint32_t close = build_space(g, build_text(g, "]", 1, next)), some = close;
    uint32_t n = min > n_prefix ? min : n_prefix; /* places that differ */
    if (max == UINT32_MAX) {
        some = build_loop(g);
        uint32_t item = items ? value_of_rule(c, items, some) : build_call(g, RULE_ANY, some);
        build_close(g, some, close, build_text(g, ",", 1, build_space(g, item)));
        n = n ? n : 1;
    } else {
        n = max;
    }
    uint32_t none = max == 0 ? close : NOWHERE;
    for (uint32_t i = n; i-- > 0 && !c->status && !g->failed;) {
        const cJSON *schema_here = i < n_prefix ? cJSON_GetArrayItem(prefix, (int)i) : items;
        uint32_t item = schema_here ? value_of_rule(c, schema_here, some) : build_call(g, RULE_ANY, some);
        if (item == NOWHERE && i < min)
            fail(c, STATUS_UNSUPPORTED, "schema: an item is wanted where nothing is allowed%s", "");
        uint32_t first = item == NOWHERE ? NOWHERE : build_space(g, item);
        if (i == 0)
            none = min > 0 ? first : build_either(g, first, close);
        else if (first == NOWHERE)
            some = close;
        else
            some = i >= min ? build_either(g, close, build_text(g, ",", 1, first)) : build_text(g, ",", 1, first);
    }
    return build_text(g, "[", 1, none);
}

/* The least or greatest whole number that the keywords allow. */
static int64_t limit_of(struct compiler *c, const cJSON *schema, const char *key, const char *exclusive, bool is_min)
{
    double limit = is_min ? -(double)LARGEST_INTEGER : (double)LARGEST_INTEGER;
    const cJSON *plain = get(schema, key), *open = get(schema, exclusive);
    if ((plain && !cJSON_IsNumber(plain)) || (open && !cJSON_IsNumber(open))) {
        fail(c, STATUS_FORMAT, "schema: '%s' must be a number", key);
        return 0;
    }
    if (plain) {
        double value = is_min ? ceil(plain->valuedouble) : floor(plain->valuedouble);
        limit = is_min ? fmax(limit, value) : fmin(limit, value);
    }
    if (open) {
        double value = is_min ? floor(open->valuedouble) + 1 : ceil(open->valuedouble) - 1;
        limit = is_min ? fmax(limit, value) : fmin(limit, value);
    }
    /* One way out of the range is no number at all, the other none that counts. */
    return limit > 1e16 ? INT64_MAX : limit < -1e16 ? INT64_MIN : (int64_t)limit;
}

static uint32_t build_whole_number(struct compiler *c, const cJSON *schema, unsigned parts, uint32_t next)
{
    if (!(parts & PART_NUMBER))
        return build_call(c->grammar, RULE_INTEGER, next);
    int64_t min = limit_of(c, schema, "minimum", "exclusiveMinimum", true);
    int64_t max = limit_of(c, schema, "maximum", "exclusiveMaximum", false);
    if (min > max || min > LARGEST_INTEGER || max < -LARGEST_INTEGER) {
        fail(c, STATUS_UNSUPPORTED, "schema: no whole number is within its limits%s", "");
        return NOWHERE;
    }
    return build_integer(c->grammar, min, max, next);
}

static uint32_t build_type(struct compiler *c, const cJSON *schema, const char *type, unsigned parts, uint32_t next)
{
    struct grammar *g = c->grammar;
    if (strcmp(type, "object") == 0)
        return build_object(c, schema, next);
    if (strcmp(type, "array") == 0)
        return build_array(c, schema, next);
    if (strcmp(type, "string") == 0) {
        uint32_t min = count_of(c, schema, "minLength", 0), max = count_of(c, schema, "maxLength", UINT32_MAX);
        if (min > max)
            fail(c, STATUS_UNSUPPORTED, "schema: no string is so short and so long%s", "");
        return c->status ? NOWHERE : build_string(g, min, max, next);
    }
    if (strcmp(type, "integer") == 0)
        return build_whole_number(c, schema, parts, next);
    if (strcmp(type, "number") == 0) {
        if (parts & PART_NUMBER)
            fail(c, STATUS_UNSUPPORTED, "schema: limits can be held to by whole numbers alone%s", "");
        return build_call(g, RULE_NUMBER, next);
    }
    if (strcmp(type, "boolean") == 0)
        return build_either(g, build_text(g, "true", 4, next), build_text(g, "false", 5, next));
    if (strcmp(type, "null") == 0)
        return build_text(g, "null", 4, next);
    fail(c, STATUS_FORMAT, "schema: '%.60s' is no type", type);
    return NOWHERE;
}

/* ---- choices ---- */

static bool has_type(const cJSON *value, const char *type)
{
    if (strcmp(type, "integer") == 0)
        return cJSON_IsNumber(value) && value->valuedouble == floor(value->valuedouble);
    const char *own = cJSON_IsObject(value)   ? "object"
                      : cJSON_IsArray(value)  ? "array"
                      : cJSON_IsString(value) ? "string"
                      : cJSON_IsNumber(value) ? "number"
                      : cJSON_IsBool(value)   ? "boolean"
                                              : "null";
    return strcmp(own, type) == 0;
}

static bool fits_type(const cJSON *value, const cJSON *type)
{
    bool fits = !type || (cJSON_IsString(type) && has_type(value, type->valuestring));
    const cJSON *item;
    if (cJSON_IsArray(type))
        cJSON_ArrayForEach(item, type) fits = fits || (cJSON_IsString(item) && has_type(value, item->valuestring));
    return fits;
}

static uint32_t build_value(struct compiler *c, const cJSON *value, const cJSON *type, uint32_t next)
{
    if (!fits_type(value, type))
        return NOWHERE;
    char *text = cJSON_PrintUnformatted(value);
    if (!text)
        fail(c, STATUS_MEMORY, "out of memory%s", "");
    uint32_t node = text ? build_text(c->grammar, text, strlen(text), next) : NOWHERE;
    cJSON_free(text);
    return node;
}

static uint32_t build_reference(struct compiler *c, const cJSON *reference, uint32_t next)
{
    const char *text = cJSON_GetStringValue(reference);
    const cJSON *target = text && text[0] == '#' ? follow_pointer(c->root, text + 1) : NULL;
    if (!target) {
        fail(c, STATUS_UNSUPPORTED, "schema: '$ref' to '%.60s', which is not within the schema", text ? text : "");
        return NOWHERE;
    }
    return value_of_rule(c, target, next);
}

/* $ref, enum, const, anyOf, oneOf, allOf of one: one of them, beside at most a type. */
static uint32_t build_choice(struct compiler *c, const cJSON *schema, unsigned parts, uint32_t next)
{
    struct grammar *g = c->grammar;
    const cJSON *type = get(schema, "type"), *values = get(schema, "enum"), *constant = get(schema, "const");
    if (get(schema, "$ref") && parts == PART_CHOICE)
        return build_reference(c, get(schema, "$ref"), next);
    if ((parts & ~(unsigned)PART_TYPE) != PART_CHOICE || (type && !values && !constant)) {
        fail(c, STATUS_UNSUPPORTED, "schema: alternatives beside other limits can't be held to%s", "");
        return NOWHERE;
    }
    if (constant)
        return build_value(c, constant, type, next);
    const cJSON *any = get(schema, "anyOf"), *one = get(schema, "oneOf"), *all = get(schema, "allOf"), *item;
    const cJSON *list = values ? values : any ? any : one ? one : all;
    if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) == 0)
        fail(c, STATUS_FORMAT, "schema: alternatives must be an array that isn't empty%s", "");
    else if (list == all && cJSON_GetArraySize(all) > 1)
        fail(c, STATUS_UNSUPPORTED, "schema: 'allOf' several can't be held to%s", "");
    if (c->status)
        return NOWHERE;
    uint32_t node = NOWHERE;
    cJSON_ArrayForEach(item, list)
    {
        uint32_t own = values ? build_value(c, item, type, next) : value_of_rule(c, item, next);
        node = build_either(g, node, own);
    }
    return node;
}

/* ---- a schema ---- */

static uint32_t build_schema(struct compiler *c, const cJSON *schema, uint32_t next)
{
    if (cJSON_IsBool(schema))
        return cJSON_IsTrue(schema) ? build_call(c->grammar, RULE_ANY, next) : NOWHERE;
    if (!cJSON_IsObject(schema)) {
        fail(c, STATUS_FORMAT, "schema: a schema must be an object, true or false%s", "");
        return NOWHERE;
    }
    size_t n_choices;
    unsigned parts = parts_of(c, schema, &n_choices);
    if (n_choices > 1)
        fail(c, STATUS_UNSUPPORTED, "schema: several kinds of alternatives at once can't be held to%s", "");
    if (c->status)
        return NOWHERE;
    if (n_choices)
        return build_choice(c, schema, parts, next);
    const cJSON *type = get(schema, "type"), *item;
    if (cJSON_IsString(type))
        return build_type(c, schema, type->valuestring, parts, next);
    if (cJSON_IsArray(type) && cJSON_GetArraySize(type) > 0) {
        uint32_t node = NOWHERE;
        cJSON_ArrayForEach(item, type)
        {
            const char *name = cJSON_GetStringValue(item);
            node = build_either(c->grammar, node, build_type(c, schema, name ? name : "", parts, next));
        }
        return node;
    }
    if (type) {
        fail(c, STATUS_FORMAT, "schema: 'type' must be a name or several%s", "");
        return NOWHERE;
    }
    /* Without a type, what is said of one kind of value alone is meant for such a value. */
    const char *meant = parts == PART_OBJECT   ? "object"
                        : parts == PART_ARRAY  ? "array"
                        : parts == PART_STRING ? "string"
                        : parts == PART_NUMBER ? "number"
                                               : NULL;
    if (meant)
        return build_type(c, schema, meant, parts, next);
    if (parts)
        fail(c, STATUS_UNSUPPORTED, "schema: limits of several kinds of values need a 'type'%s", "");
    return build_call(c->grammar, RULE_ANY, next);
}

/* No rule may call itself before it has read anything: nobody would ever get past it.  Depth first, on a stack of our own,
 * over what is reached without reading; mark: 0 new, 1 on the way, 2 done. */
static bool calls_itself_first(const struct grammar *grammar, bool *has_memory)
{
    unsigned char *mark = calloc(grammar->n_nodes, 1);
    uint32_t *stack = malloc((2 * grammar->n_nodes + grammar->n_rules + 1) * sizeof *stack);
    bool found = false;
    *has_memory = mark && stack;
    for (size_t rule = 0; *has_memory && rule < grammar->n_rules && !found; rule++) {
        size_t n = 0;
        stack[n++] = grammar->rules[rule];
        while (n > 0 && !found) {
            uint32_t at = stack[n - 1];
            const struct grammar_node *node = &grammar->nodes[at];
            if (mark[at]) { /* what comes from it is done, or it was met by another way */
                mark[at] = 2;
                n--;
                continue;
            }
            mark[at] = 1;
            uint32_t ways[2] = {0, 0};
            if (node->kind == NODE_CALL)
                ways[0] = grammar->rules[node->other];
            else if (node->kind == NODE_EITHER)
                ways[0] = node->next, ways[1] = node->other;
            for (int i = 0; i < 2; i++) {
                found = found || (ways[i] && mark[ways[i]] == 1);
                if (ways[i] && mark[ways[i]] == 0)
                    stack[n++] = ways[i];
            }
        }
    }
    free(mark);
    free(stack);
    return found;
}

static void compile(struct compiler *c)
{
    struct grammar *g = c->grammar;
    uint32_t end = build_return(g);
    uint32_t root = value_of_rule(c, c->root, end);
    grammar_set_rule(g, RULE_ROOT, build_space(g, root));
    for (size_t i = 0; i < c->n && !c->status && !g->failed; i++) {
        uint32_t node = build_schema(c, c->schemas[i], end);
        if (node == NOWHERE && !c->status && !g->failed)
            fail(c, STATUS_UNSUPPORTED, "schema: a part of it allows nothing%s", "");
        grammar_set_rule(g, c->rules[i], node);
    }
    if (root == NOWHERE && !c->status)
        fail(c, STATUS_UNSUPPORTED, "schema: it allows nothing%s", "");
    if (!c->status && g->failed)
        fail(c, g->failed, g->failed == STATUS_MEMORY ? "out of memory%s" : "the schema has too many parts%s", "");
    bool has_memory = true;
    if (!c->status && calls_itself_first(g, &has_memory))
        fail(c, STATUS_UNSUPPORTED, "schema: a '$ref' leads in a circle%s", "");
    if (!has_memory)
        fail(c, STATUS_MEMORY, "out of memory%s", "");
}

enum status grammar_from_schema(const char *text, size_t size, struct grammar **out, struct error *error)
{
    if (size > MOST_TEXT)
        return error_set(error, STATUS_RANGE, "the schema is longer than 1 MB");
    cJSON *root = cJSON_ParseWithLength(text, size);
    if (!root)
        return error_set(error, STATUS_FORMAT, "the schema is no JSON");
    struct compiler c = {.grammar = grammar_new(), .root = root, .error = error};
    if (!c.grammar)
        fail(&c, STATUS_MEMORY, "out of memory%s", "");
    else
        compile(&c);
    cJSON_Delete(root);
    free(c.schemas);
    free(c.rules);
    if (c.status)
        grammar_free(c.grammar);
    else
        *out = c.grammar;
    return c.status;
}
