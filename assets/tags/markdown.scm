; Markdown: headings; a heading's section ends where the next of its level or above begins.

(atx_heading (heading_content) @name) @definition.heading
(setext_heading (heading_content) @name) @definition.heading
(link_destination) @import
