; TOML: tables, and keys at their first level.

(table [(bare_key) @name (dotted_key) @name (quoted_key) @name]) @definition.key
(table_array_element [(bare_key) @name (dotted_key) @name (quoted_key) @name]) @definition.key
(document (pair [(bare_key) @name (dotted_key) @name (quoted_key) @name]) @definition.key)
(table (pair [(bare_key) @name (dotted_key) @name (quoted_key) @name]) @definition.key)
(table_array_element (pair [(bare_key) @name (dotted_key) @name (quoted_key) @name]) @definition.key)
(comment) @comment
