; YAML: the keys of the two outermost levels.

(document (block_node (block_mapping (block_mapping_pair key: (flow_node) @name) @definition.key)))
(document (block_node (block_mapping (block_mapping_pair
  value: (block_node (block_mapping (block_mapping_pair key: (flow_node) @name) @definition.key))))))
(anchor_name) @reference
(alias_name) @reference
(comment) @comment
