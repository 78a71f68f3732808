; SQL

(create_table_statement (identifier) @name) @definition.struct
(create_table_statement (dotted_name) @name) @definition.struct
(table_column name: (identifier) @name) @definition.field
(create_view_statement (identifier) @name) @definition.struct
(create_view_statement (dotted_name) @name) @definition.struct
(create_index_statement name: (identifier) @name) @definition.variable
(create_function_statement [(identifier) @name (dotted_name) @name]) @definition.function
(create_type_statement (identifier) @name) @definition.type

(function_call function: (identifier) @reference.call)
(identifier) @reference
(comment) @comment
