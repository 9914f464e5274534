"""`python -m ltray.on_ray.cluster_query HOST:PORT`: queries a Ray cluster and prints one line of JSON.

It is a separate process, because Ray's client may print, wait for minutes, or end its process.
"""

import json
import os
import sys
from typing import Any

import ray
from ray.exceptions import AuthenticationError

from ltray.on_ray._compat import GcsClient, check_version_info, find_node_ids, get_cluster_metadata


def query(address: str) -> dict[str, Any]:
    """Return the answer that `join_check.problem_of` checks."""
    try:
        client = GcsClient(address=address)
        metadata = get_cluster_metadata(client)
        nodes = client.get_all_node_info(timeout=30)
    except AuthenticationError as error:
        return {"error": "token", "text": str(error)}
    except Exception as error:
        return {"error": "failed", "text": " ".join(str(error).split())[:300]}
    here = f"Ray {ray.__version__} on Python {sys.version.split()[0]}"
    cluster = f"Ray {metadata['ray_version']} on Python {metadata['python_version']}"
    try:
        check_version_info(metadata, "this command")
    except RuntimeError:
        pass
    else:
        cluster = here  # the versions are equal according to Ray's check
    alive = {node.hex() for node, info in nodes.items() if info.state == info.ALIVE}
    return {"cluster": cluster, "here": here, "local": bool(alive & find_node_ids())}


if __name__ == "__main__":
    print(json.dumps(query(sys.argv[1])), flush=True)
    os._exit(0)  # without waiting for Ray's threads
