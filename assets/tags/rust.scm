; Rust.  An impl is a class of the name that it is for: so what it holds are methods.

(function_item name: (identifier) @name) @definition.function
(function_signature_item name: (identifier) @name) @definition.prototype
(struct_item name: (type_identifier) @name) @definition.struct
(union_item name: (type_identifier) @name) @definition.union
(enum_item name: (type_identifier) @name) @definition.enum
(enum_variant name: (identifier) @name) @definition.enumerator
(trait_item name: (type_identifier) @name) @definition.interface
(type_item name: (type_identifier) @name) @definition.type
(associated_type name: (type_identifier) @name) @definition.type
(impl_item type: [
  (type_identifier) @name
  (generic_type type: (type_identifier) @name)
  (scoped_type_identifier name: (type_identifier) @name)
]) @definition.class
(mod_item name: (identifier) @name) @definition.module
(macro_definition name: (identifier) @name) @definition.macro
(const_item name: (identifier) @name) @definition.constant
(static_item name: (identifier) @name) @definition.variable
(field_declaration name: (field_identifier) @name) @definition.field

(use_declaration argument: (_) @import)
(extern_crate_declaration name: (identifier) @import)

(parameter pattern: [(identifier) @local (mut_pattern (identifier) @local)])
(let_declaration pattern: [(identifier) @local (mut_pattern (identifier) @local) (tuple_pattern (identifier) @local)])
(closure_parameters [(identifier) @local (tuple_pattern (identifier) @local)])
(for_expression pattern: [(identifier) @local (tuple_pattern (identifier) @local)])
(type_parameters (type_identifier) @local)

(call_expression function: [
  (identifier) @reference.call
  (scoped_identifier name: (identifier) @reference.call)
  (field_expression field: (field_identifier) @reference.call)
  (generic_function function: [
    (identifier) @reference.call
    (scoped_identifier name: (identifier) @reference.call)
    (field_expression field: (field_identifier) @reference.call)
  ])
])
(macro_invocation macro: [(identifier) @reference.call (scoped_identifier name: (identifier) @reference.call)])
(struct_expression name: (type_identifier) @reference.call)

(identifier) @reference
(type_identifier) @reference
(field_identifier) @reference.member
(shorthand_field_identifier) @reference
(line_comment) @comment
(block_comment) @comment
