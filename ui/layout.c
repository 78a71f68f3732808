/* layout: see layout.h.  The tree has at most fifteen nodes, so walks look at all of them, or go by explicit stacks. */
#include "ui/layout.h"

#include <string.h>

enum { NODES = 2 * LAYOUT_PANES - 1, HALF = 500 };

void layout_init(struct layout *layout, int pane)
{
    *layout = (struct layout){0};
    layout->nodes[0] = (struct layout_node){.pane = pane, .parent = -1, .is_used = true};
}

/* ---- areas ---- */

static bool is_within(const struct layout *layout, int node, int ancestor)
{
    while (node >= 0 && node != ancestor)
        node = layout->nodes[node].parent;
    return node == ancestor;
}

/* Cells of the first half, where both have room; 0 where they haven't. */
static int first_size(int size, int share, int least)
{
    int room = size - 1;
    if (room < 2 * least)
        return 0;
    int first = (int)((int64_t)room * share / 1000);
    return first < least ? least : first > room - least ? room - least : first;
}

static void place_children(struct layout *layout, int index)
{
    struct layout_node *node = &layout->nodes[index];
    struct area a = node->area, first = a, second = a;
    bool by_columns = node->split == SPLIT_COLUMNS;
    int size = by_columns ? first_size(a.columns, node->share, LAYOUT_LEAST_COLUMNS)
                          : first_size(a.rows, node->share, LAYOUT_LEAST_ROWS);
    bool is_first = is_within(layout, layout->focus, node->first),
         is_second = is_within(layout, layout->focus, node->second);
    if (a.rows == 0 || size == 0) {
        bool shows_second = is_second && !is_first;
        *(shows_second ? &first : &second) = (struct area){0};
    } else if (by_columns) {
        first.columns = size;
        second.column = a.column + size + 1;
        second.columns = a.columns - size - 1;
    } else {
        first.rows = size;
        second.row = a.row + size + 1;
        second.rows = a.rows - size - 1;
    }
    layout->nodes[node->first].area = first;
    layout->nodes[node->second].area = second;
}

void layout_place(struct layout *layout, struct area area)
{
    int stack[NODES], n = 0;
    for (int i = 0; i < NODES; i++)
        layout->nodes[i].area = (struct area){0};
    if (layout->is_zoomed) {
        layout->nodes[layout->focus].area = area;
        return;
    }
    layout->nodes[layout->root].area = area;
    stack[n++] = layout->root;
    while (n) {
        int index = stack[--n];
        if (layout->nodes[index].split == SPLIT_NONE)
            continue;
        place_children(layout, index);
        stack[n++] = layout->nodes[index].first;
        stack[n++] = layout->nodes[index].second;
    }
}

/* ---- the tree ---- */

static int free_node(const struct layout *layout)
{
    for (int i = 0; i < NODES; i++)
        if (!layout->nodes[i].is_used)
            return i;
    return -1;
}

static void replace_child(struct layout *layout, int parent, int child, int with)
{
    if (parent < 0)
        layout->root = with;
    else if (layout->nodes[parent].first == child)
        layout->nodes[parent].first = with;
    else
        layout->nodes[parent].second = with;
    layout->nodes[with].parent = parent;
}

bool layout_split_focus(struct layout *layout, enum layout_split split, int pane)
{
    int leaf = layout->focus, inner = free_node(layout);
    if (inner < 0)
        return false;
    layout->nodes[inner].is_used = true;
    int second = free_node(layout);
    if (second < 0) {
        layout->nodes[inner].is_used = false;
        return false;
    }
    int parent = layout->nodes[leaf].parent;
    layout->nodes[inner] =
        (struct layout_node){.split = split, .first = leaf, .second = second, .share = HALF, .is_used = true};
    replace_child(layout, parent, leaf, inner);
    layout->nodes[leaf].parent = inner;
    layout->nodes[second] = (struct layout_node){.pane = pane, .parent = inner, .is_used = true};
    layout->focus = second;
    layout->is_zoomed = false;
    return true;
}

static int first_leaf(const struct layout *layout, int node)
{
    while (layout->nodes[node].split != SPLIT_NONE)
        node = layout->nodes[node].first;
    return node;
}

bool layout_close_focus(struct layout *layout)
{
    int leaf = layout->focus, parent = layout->nodes[leaf].parent;
    if (parent < 0)
        return false;
    const struct layout_node *inner = &layout->nodes[parent];
    int other = inner->first == leaf ? inner->second : inner->first;
    replace_child(layout, inner->parent, parent, other);
    layout->nodes[leaf] = layout->nodes[parent] = (struct layout_node){0};
    layout->focus = first_leaf(layout, other);
    layout->is_zoomed = false;
    return true;
}

/* ---- questions ---- */

int layout_focused_pane(const struct layout *layout)
{
    return layout->nodes[layout->focus].pane;
}

int layout_find(const struct layout *layout, int pane)
{
    for (int i = 0; i < NODES; i++)
        if (layout->nodes[i].is_used && layout->nodes[i].split == SPLIT_NONE && layout->nodes[i].pane == pane)
            return i;
    return -1;
}

struct area layout_area(const struct layout *layout, int pane)
{
    static const struct area nowhere = {0};
    int leaf = layout_find(layout, pane);
    return leaf < 0 ? nowhere : layout->nodes[leaf].area;
}

/* Leaves in the tree's order. */
static int list_leaves(const struct layout *layout, int leaves[LAYOUT_PANES])
{
    int stack[NODES], n = 0, n_leaves = 0;
    stack[n++] = layout->root;
    while (n) {
        int node = stack[--n];
        if (layout->nodes[node].split == SPLIT_NONE) {
            leaves[n_leaves++] = node;
        } else {
            stack[n++] = layout->nodes[node].second;
            stack[n++] = layout->nodes[node].first;
        }
    }
    return n_leaves;
}

int layout_count(const struct layout *layout)
{
    int leaves[LAYOUT_PANES];
    return list_leaves(layout, leaves);
}

/* ---- focus ---- */

void layout_next_focus(struct layout *layout, int step)
{
    int leaves[LAYOUT_PANES], n = list_leaves(layout, leaves);
    for (int i = 0; i < n; i++)
        if (leaves[i] == layout->focus) {
            layout->focus = leaves[(i + step % n + n) % n];
            return;
        }
}

static bool overlaps(int a, int a_size, int b, int b_size)
{
    return a < b + b_size && b < a + a_size;
}

void layout_move_focus(struct layout *layout, enum layout_direction direction)
{
    struct area from = layout->nodes[layout->focus].area;
    int leaves[LAYOUT_PANES], n = list_leaves(layout, leaves), best = -1, best_distance = 0;
    for (int i = 0; i < n; i++) {
        struct area to = layout->nodes[leaves[i]].area;
        bool is_beside = direction == LAYOUT_LEFT || direction == LAYOUT_RIGHT;
        int distance = direction == LAYOUT_LEFT    ? from.column - (to.column + to.columns)
                       : direction == LAYOUT_RIGHT ? to.column - (from.column + from.columns)
                       : direction == LAYOUT_UP    ? from.row - (to.row + to.rows)
                                                   : to.row - (from.row + from.rows);
        bool faces = is_beside ? overlaps(from.row, from.rows, to.row, to.rows)
                               : overlaps(from.column, from.columns, to.column, to.columns);
        if (leaves[i] == layout->focus || to.rows == 0 || !faces || distance < 0)
            continue;
        if (best < 0 || distance < best_distance) {
            best = leaves[i];
            best_distance = distance;
        }
    }
    if (best >= 0)
        layout->focus = best;
}

/* ---- sizes ---- */

void layout_resize(struct layout *layout, enum layout_split split, int cells)
{
    for (int node = layout->focus; layout->nodes[node].parent >= 0; node = layout->nodes[node].parent) {
        struct layout_node *parent = &layout->nodes[layout->nodes[node].parent];
        int size = split == SPLIT_COLUMNS ? parent->area.columns : parent->area.rows;
        if (parent->split != split || size < 2)
            continue;
        /* From what is seen, so that a share beyond the limits doesn't swallow keys. */
        const struct area *first = &layout->nodes[parent->first].area;
        int now = split == SPLIT_COLUMNS ? first->columns : first->rows;
        int wanted = now + (parent->first == node ? cells : -cells), room = size - 1;
        wanted = wanted < 1 ? 1 : wanted > room - 1 ? room - 1 : wanted;
        parent->share = (int)(((int64_t)wanted * 1000 + room - 1) / room);
        return;
    }
}

void layout_equalize(struct layout *layout)
{
    for (int i = 0; i < NODES; i++)
        layout->nodes[i].share = HALF;
}

/* ---- lines ---- */

void layout_draw(const struct layout *layout, struct cells *cells)
{
    if (layout->is_zoomed)
        return;
    for (int i = 0; i < NODES; i++) {
        const struct layout_node *node = &layout->nodes[i];
        if (!node->is_used || node->split == SPLIT_NONE || node->area.rows == 0)
            continue;
        struct area first = layout->nodes[node->first].area, second = layout->nodes[node->second].area;
        if (first.rows == 0 || second.rows == 0)
            continue;
        bool has_focus = node->first == layout->focus || node->second == layout->focus;
        enum style style = has_focus ? STYLE_ACCENT : STYLE_RULE;
        if (node->split == SPLIT_COLUMNS)
            cells_bar(cells, node->area, second.column - node->area.column - 1, style);
        else
            cells_rule(cells, node->area, second.row - node->area.row - 1, 0, node->area.columns, style);
    }
}
