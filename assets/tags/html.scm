; HTML: what has an id, and the files that are named.

(element (start_tag (attribute (attribute_name) @_attribute (quoted_attribute_value (attribute_value) @name))
  (#eq? @_attribute "id"))) @definition.key
(attribute (attribute_name) @_attribute (quoted_attribute_value (attribute_value) @import)
  (#any-of? @_attribute "src" "href"))
(attribute (attribute_name) @_attribute (quoted_attribute_value (attribute_value) @reference)
  (#any-of? @_attribute "class" "for"))
(comment) @comment
