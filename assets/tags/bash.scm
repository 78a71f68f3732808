; Bash

(function_definition name: (word) @name) @definition.function
(variable_assignment name: (variable_name) @name) @definition.variable
(declaration_command (variable_name) @name) @definition.variable

(command name: (command_name (word) @_called) argument: [(word) (string) (raw_string) (concatenation)] @import
  (#any-of? @_called "." "source"))

(command name: (command_name (word) @reference.call))
(variable_name) @reference
(comment) @comment
