"""The fingerprint is of what numpy computes with, whatever else a process has loaded."""

import json
import subprocess
import sys

import numpy as np

SCRIPT = """
import json, scipy.linalg, threadpoolctl
from workers.numerics import blas_of_numpy, fingerprint
pools = threadpoolctl.threadpool_info()
versions = [blas_of_numpy(listed)["version"] for listed in (pools, pools[::-1])]
print(json.dumps([sum(pool["user_api"] == "blas" for pool in pools), versions, fingerprint()["blas"]]))
"""


def test_the_fingerprint_names_numpys_blas_where_scipy_has_loaded_its_own() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    loaded, versions, said = json.loads(done.stdout)
    configuration: dict[str, dict[str, dict[str, str]]] = np.show_config(mode="dicts")  # type: ignore[assignment]
    own = configuration["Build Dependencies"]["blas"]["version"]
    assert loaded == 2
    assert versions == [own, own]
    assert own in said
