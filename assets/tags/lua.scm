; Lua

(function_definition_statement name: [
  (identifier) @name
  (variable field: (identifier) @name)
  (variable method: (identifier) @name)
]) @definition.function
(local_function_definition_statement name: (identifier) @name) @definition.function
(variable_assignment
  (variable_list . (variable field: (identifier) @name)) (expression_list value: (function_definition))) @definition.function
(variable_assignment
  (variable_list . (variable name: (identifier) @name)) (expression_list value: (function_definition))) @definition.function
(local_variable_declaration
  (variable_list . (variable name: (identifier) @name)) (expression_list value: (function_definition))) @definition.function
(variable_assignment (variable_list (variable name: (identifier) @name))) @definition.variable
(local_variable_declaration (variable_list (variable name: (identifier) @name))) @definition.variable

(parameter_list name: (identifier) @local)
(for_numeric_statement name: (identifier) @local)

(call function: (variable name: (identifier) @_called) arguments: (argument_list (expression_list (string) @import))
  (#any-of? @_called "require" "dofile"))
(call function: (variable name: (identifier) @_called) arguments: (argument_list (string) @import)
  (#any-of? @_called "require" "dofile"))

(call function: (variable name: (identifier) @reference.call))
(call function: (variable field: (identifier) @reference.call))
(call function: (variable method: (identifier) @reference.call))
(variable field: (identifier) @reference.member)
(variable method: (identifier) @reference.member)

(identifier) @reference
(comment) @comment
