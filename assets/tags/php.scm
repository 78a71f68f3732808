; PHP

(class_declaration name: (name) @name) @definition.class
(interface_declaration name: (name) @name) @definition.interface
(trait_declaration name: (name) @name) @definition.class
(enum_declaration name: (name) @name) @definition.enum
(enum_case name: (name) @name) @definition.enumerator
(function_definition name: (name) @name) @definition.function
(method_declaration name: (name) @name) @definition.method
(property_declaration (property_element (variable_name (name) @name))) @definition.field
(const_declaration (const_element (name) @name)) @definition.constant
(namespace_definition name: (namespace_name) @name) @definition.module
(function_call_expression function: (name) @_called arguments: (arguments . (argument (string (string_value) @name)))
  (#eq? @_called "define")) @definition.constant

(namespace_use_clause [(qualified_name) (name)] @import)
(require_once_expression (string) @import)
(require_expression (string) @import)
(include_once_expression (string) @import)
(include_expression (string) @import)

(simple_parameter name: (variable_name (name) @local))
(variadic_parameter name: (variable_name (name) @local))
(assignment_expression left: (variable_name (name) @local))
(foreach_statement (variable_name (name) @local))
(catch_clause name: (variable_name (name) @local))

(function_call_expression function: [(name) @reference.call (qualified_name (name) @reference.call)])
(member_call_expression name: (name) @reference.call)
(nullsafe_member_call_expression name: (name) @reference.call)
(scoped_call_expression name: (name) @reference.call)
(object_creation_expression [(name) @reference.call (qualified_name (name) @reference.call)])
(member_access_expression name: (name) @reference.member)

(name) @reference
(comment) @comment
