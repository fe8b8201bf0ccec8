"""What a process of its own runs to answer one request as the process that prepares data does."""

ANSWER = """
import json, os, sys
from service.prepare import answer
from workers.storage import storage_of
print(json.dumps(answer(json.loads(sys.argv[1]), storage_of(os.environ))))
"""
