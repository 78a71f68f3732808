; C++, what it has beyond C (c.scm is read first).  A function within a class is a method.

(function_definition declarator: [
  (function_declarator declarator: [
    (field_identifier) @name
    (operator_name) @name
    (destructor_name) @name
    (qualified_identifier name: [
      (identifier) @name
      (operator_name) @name
      (destructor_name) @name
      (template_function name: (identifier) @name)
      (qualified_identifier name: [(identifier) @name (operator_name) @name (destructor_name) @name])
    ])
  ])
  (_ (function_declarator declarator: [
    (identifier) @name
    (field_identifier) @name
    (operator_name) @name
    (qualified_identifier name: [
      (identifier) @name
      (operator_name) @name
      (qualified_identifier name: [(identifier) @name (operator_name) @name])
    ])
  ]))
]) @definition.function

(declaration declarator: [
  (function_declarator declarator: [(operator_name) @name (destructor_name) @name])
  (reference_declarator (function_declarator declarator: (identifier) @name))
]) @definition.prototype
(field_declaration declarator: [
  (function_declarator declarator: [(field_identifier) @name (operator_name) @name (destructor_name) @name])
  (_ (function_declarator declarator: [(field_identifier) @name (operator_name) @name]))
]) @definition.prototype

(declaration declarator: [
  (init_declarator declarator: (reference_declarator (identifier) @name))
  (init_declarator declarator: (qualified_identifier name: (identifier) @name))
  (qualified_identifier name: (identifier) @name)
]) @definition.variable
(field_declaration declarator: (reference_declarator (field_identifier) @name)) @definition.field

(class_specifier name: [
  (type_identifier) @name
  (template_type name: (type_identifier) @name)
  (qualified_identifier name: (type_identifier) @name)
] body: (field_declaration_list)) @definition.class
(struct_specifier name: (template_type name: (type_identifier) @name) body: (field_declaration_list)) @definition.struct
(namespace_definition name: (namespace_identifier) @name) @definition.module
(alias_declaration name: (type_identifier) @name) @definition.type
(concept_definition name: (identifier) @name) @definition.type

(parameter_declaration declarator: (reference_declarator (identifier) @local))
(optional_parameter_declaration declarator: [
  (identifier) @local
  (pointer_declarator declarator: (identifier) @local)
  (reference_declarator (identifier) @local)
])
(for_range_loop declarator: [(identifier) @local (reference_declarator (identifier) @local)])
(type_parameter_declaration (type_identifier) @local)

(call_expression function: [
  (qualified_identifier name: [
    (identifier) @reference.call
    (template_function name: (identifier) @reference.call)
    (qualified_identifier name: (identifier) @reference.call)
  ])
  (template_function name: (identifier) @reference.call)
])
(new_expression type: (type_identifier) @reference.call)
(namespace_identifier) @reference.member
