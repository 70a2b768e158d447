"""What `aaeframe reproduce` does: fills the paper's tables with runs of presets, and tells what it found.

rows        the experiments, and which preset fills which column
published   what others report for them
cells       one run of the table: a row, a column, a seed; and the order in which they are filled
filling     trains, evaluates and estimates what a cell lacks
claim       so that of several processes one works at a run
found       what stands in the folder of a run
criteria    whether a run counts
results     from all folders to the table
report      the table as texts, in Markdown and as JSON
"""
