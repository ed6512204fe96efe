"""Lists for people: pages of what the books hold, for the command line and for the status pages.

A page costs the same however long the books are. It goes along the primary key, and what no index serves is looked for
in a bounded stretch of it: a page may then be short, or empty, and tell from where to go on.
"""
