"""Lists of all names of a repository that only grow: hosted names and those of upstreams, in one file that clients
follow by its tail.

What such a list says of a package changes with the package's listing, and every change is one more line at the end. The
file is a ledger that all workers share; each read first adds what the catalogue and the upstreams have changed since.
Which layer owns a name is decided as everywhere (`gateway.layers`): a name that is hosted, or reserved, has no line of
an upstream, whoever reads. What single actors may not see is left out of their copy line by line, so that it grows
just as well.

roster: the list for one actor · sight: what that actor may see · contents: what the list should say by now · claims: of
which names an upstream's list is believed · writing: the lines from what it says to what it should · book: what a
process remembers of a ledger · format: how an ecosystem writes it.
"""
