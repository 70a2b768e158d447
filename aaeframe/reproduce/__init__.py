"""The paper's tables, filled by presets and by rival models: the work behind `aaeframe reproduce`.

experiments  the rows and columns of the tables
published    the numbers that others report
cells        one number of the table each; the order in which they are filled
record       the results of a cell: one record.json each
work         trains, evaluates and estimates what a cell lacks, and writes its record
copying      copies the records of other folders
table        records as text, Markdown, JSON and learning curves
rivals/      the generators that the paper compares with
"""
