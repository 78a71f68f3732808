; JavaScript, what TypeScript writes in another way.

(class_declaration name: (identifier) @name) @definition.class
(field_definition property: [(property_identifier) @name (private_property_identifier) @name]) @definition.field
(formal_parameters [
  (identifier) @local
  (assignment_pattern left: (identifier) @local)
])
