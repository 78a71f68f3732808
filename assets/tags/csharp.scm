; C#

(class_declaration name: (identifier) @name) @definition.class
(record_declaration name: (identifier) @name) @definition.class
(struct_declaration name: (identifier) @name) @definition.struct
(interface_declaration name: (identifier) @name) @definition.interface
(enum_declaration name: (identifier) @name) @definition.enum
(enum_member_declaration name: (identifier) @name) @definition.enumerator
(method_declaration name: (identifier) @name) @definition.method
(constructor_declaration name: (identifier) @name) @definition.method
(destructor_declaration name: (identifier) @name) @definition.method
(local_function_statement name: (identifier) @name) @definition.function
(property_declaration name: (identifier) @name) @definition.field
(event_declaration name: (identifier) @name) @definition.field
(field_declaration (variable_declaration (variable_declarator name: (identifier) @name))) @definition.field
(event_field_declaration (variable_declaration (variable_declarator name: (identifier) @name))) @definition.field
(delegate_declaration name: (identifier) @name) @definition.type
(namespace_declaration name: [(identifier) @name (qualified_name) @name]) @definition.module
(file_scoped_namespace_declaration name: [(identifier) @name (qualified_name) @name]) @definition.module

(using_directive name: [(identifier) (qualified_name)] @import)

(parameter name: (identifier) @local)
(local_declaration_statement (variable_declaration (variable_declarator name: (identifier) @local)))
(for_each_statement left: (identifier) @local)
(catch_declaration name: (identifier) @local)
(type_parameter name: (identifier) @local)

(invocation_expression function: [
  (identifier) @reference.call
  (generic_name name: (identifier) @reference.call)
  (member_access_expression name: [(identifier) @reference.call (generic_name name: (identifier) @reference.call)])
])
(object_creation_expression type: [
  (identifier) @reference.call
  (generic_name name: (identifier) @reference.call)
  (qualified_name name: (identifier) @reference.call)
])
(member_access_expression name: (identifier) @reference.member)

(identifier) @reference
(comment) @comment
