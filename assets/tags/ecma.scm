; What JavaScript and TypeScript have in common.

(function_declaration name: (identifier) @name) @definition.function
(generator_function_declaration name: (identifier) @name) @definition.function
(method_definition name: [(property_identifier) @name (private_property_identifier) @name]) @definition.method
(variable_declarator name: (identifier) @name value: [(arrow_function) (function) (generator_function)]) @definition.function
(variable_declarator name: (identifier) @name value: (class)) @definition.class
(variable_declarator name: (identifier) @name) @definition.variable
(assignment_expression
  left: (member_expression property: (property_identifier) @name)
  right: [(arrow_function) (function) (generator_function)]) @definition.function
(pair key: (property_identifier) @name value: [(arrow_function) (function)]) @definition.method
(program (export_statement (object (pair key: (property_identifier) @name) @definition.field)))

(arrow_function parameter: (identifier) @local)
(array_pattern (identifier) @local)
(object_pattern (shorthand_property_identifier_pattern) @local)
(catch_clause parameter: (identifier) @local)
(for_in_statement left: (identifier) @local)
(rest_pattern (identifier) @local)
(function name: (identifier) @local)

(import_statement source: (string) @import)
(export_statement source: (string) @import)
(call_expression function: (identifier) @_called arguments: (arguments . (string) @import) (#eq? @_called "require"))
(call_expression function: (import) arguments: (arguments . (string) @import))

(call_expression function: (identifier) @reference.call)
(call_expression function: (member_expression property: (property_identifier) @reference.call))
(new_expression constructor: (identifier) @reference.call)
(new_expression constructor: (member_expression property: (property_identifier) @reference.call))

(identifier) @reference
(property_identifier) @reference.member
(private_property_identifier) @reference.member
(shorthand_property_identifier) @reference
(comment) @comment
