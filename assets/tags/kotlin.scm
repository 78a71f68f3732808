; Kotlin

(class_declaration "interface" name: (type_identifier) @name) @definition.interface
(class_declaration "enum" name: (type_identifier) @name) @definition.enum
(class_declaration name: (type_identifier) @name) @definition.class
(object_declaration name: (type_identifier) @name) @definition.class
(enum_entry (simple_identifier) @name) @definition.enumerator
(function_declaration name: (simple_identifier) @name) @definition.function
(property_declaration variable: (variable_declaration . (simple_identifier) @name)) @definition.variable
(type_alias name: (type_identifier) @name) @definition.type
(package_header (identifier) @name) @definition.module

(import_header (identifier) @import)

(parameter . (simple_identifier) @local)
(lambda_parameters (variable_declaration . (simple_identifier) @local))
(type_parameter (type_identifier) @local)

(call_expression . (simple_identifier) @reference.call)
(call_expression . (navigation_expression (navigation_suffix (simple_identifier) @reference.call)))
(constructor_invocation (user_type (type_identifier) @reference.call))
(navigation_suffix (simple_identifier) @reference.member)

(simple_identifier) @reference
(type_identifier) @reference
(line_comment) @comment
(multiline_comment) @comment
