; Ruby

(class name: [(constant) @name (scope_resolution name: (constant) @name)]) @definition.class
(module name: [(constant) @name (scope_resolution name: (constant) @name)]) @definition.module
(method name: [(identifier) @name (constant) @name (operator) @name (setter) @name]) @definition.method
(singleton_method name: [(identifier) @name (constant) @name (operator) @name]) @definition.method
(alias name: (identifier) @name) @definition.method
(assignment left: (constant) @name) @definition.constant
(assignment left: (global_variable) @name) @definition.variable
(call method: (identifier) @_called arguments: (argument_list (simple_symbol) @name)
  (#any-of? @_called "attr_reader" "attr_writer" "attr_accessor")) @definition.field

(call method: (identifier) @_called arguments: (argument_list . (string) @import)
  (#any-of? @_called "require" "require_relative" "load" "autoload"))

(assignment left: (identifier) @local)
(left_assignment_list (identifier) @local)
(method_parameters [
  (identifier) @local
  (optional_parameter name: (identifier) @local)
  (keyword_parameter name: (identifier) @local)
  (splat_parameter name: (identifier) @local)
  (hash_splat_parameter name: (identifier) @local)
  (block_parameter name: (identifier) @local)
])
(block_parameters (identifier) @local)
(exception_variable (identifier) @local)

(call method: [(identifier) @reference.call (constant) @reference.call])

(identifier) @reference
(constant) @reference
(global_variable) @reference
(instance_variable) @reference.member
(class_variable) @reference.member
(comment) @comment
