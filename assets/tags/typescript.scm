; TypeScript: types, and what it writes in another way than JavaScript does.

(class_declaration name: (type_identifier) @name) @definition.class
(abstract_class_declaration name: (type_identifier) @name) @definition.class
(interface_declaration name: (type_identifier) @name) @definition.interface
(type_alias_declaration name: (type_identifier) @name) @definition.type
(enum_declaration name: (identifier) @name) @definition.enum
(enum_body name: (property_identifier) @name @definition.enumerator)
(enum_assignment name: (property_identifier) @name) @definition.enumerator
(public_field_definition name: [(property_identifier) @name (private_property_identifier) @name]) @definition.field
(property_signature name: (property_identifier) @name) @definition.field
(method_signature name: (property_identifier) @name) @definition.prototype
(abstract_method_signature name: (property_identifier) @name) @definition.prototype
(function_signature name: (identifier) @name) @definition.prototype
(internal_module name: [(identifier) @name (nested_identifier) @name]) @definition.module
(module name: [(identifier) @name (string (string_fragment) @name)]) @definition.module

(required_parameter pattern: (identifier) @local)
(optional_parameter pattern: (identifier) @local)
(type_parameter name: (type_identifier) @local)
(import_require_clause source: (string) @import)

(type_identifier) @reference
