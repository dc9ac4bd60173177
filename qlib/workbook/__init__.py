"""The workbook's machinery: record a run, execute notebooks, write report pages.

`record` holds what a notebook found; `report` executes and renders; `index` lists
every published result; `executors` and `sweep` spread runs over processes and machines;
`plotting` and `widgets` are for use inside notebooks. No module here knows a topic.
"""
