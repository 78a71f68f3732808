; Make

(rule (targets (word) @name)) @definition.target
(variable_assignment name: (word) @name) @definition.variable
(define_directive name: (word) @name) @definition.macro
(include_directive filenames: (list (word) @import))
(prerequisites (word) @reference)
(variable_reference (word) @reference)
(comment) @comment
