"""The code of the stages: `pipeline/stage_table.py` names them, each has its file here."""
