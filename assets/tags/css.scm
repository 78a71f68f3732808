; CSS: selectors by their class or id, custom properties, animations.

(rule_set (selectors (class_selector (class_name) @name))) @definition.key
(rule_set (selectors (id_selector (id_name) @name))) @definition.key
(keyframes_statement (keyframes_name) @name) @definition.function
(import_statement (string_value) @import)
(class_name) @reference
(id_name) @reference
(comment) @comment
