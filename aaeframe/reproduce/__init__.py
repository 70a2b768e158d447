"""What `aaeframe reproduce` does: fills the paper's tables by presets and by other generators, and tells what it found.

rows        the experiments, and what fills which column
columns     the columns, and the two ways to fill one: by a preset, by a generator
published   what others report for them
cells       one number of the table: a row, a column, a seed; and the order in which they are filled
state       where a cell stands: what its folder holds, and whether it is worked at
filling     trains, evaluates and estimates what a cell lacks
divergence  that a run diverged
found       what stands in the folder of a run
measured    what stands in that of a generator, and how it comes there
recorded    what a table tells of a run whose folder is not at hand
taking      how that comes there, from another folder's table
criteria    whether a run counts
results     from all folders to the table
table       the table as texts
markdown    the same in Markdown, with what is published
stored      the table as JSON, and its two files
"""
