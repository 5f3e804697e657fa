"""Objects against the types of Kubernetes' API: written down as TypeScript literals, whose fields tsc checks one by one.

A literal with a field that its type does not have is an error to tsc, at any depth. So is a value of the wrong kind. Those of the
Prometheus operator are no part of that API: rules.py and tests/monitoring look at them.
"""

import json
import os
import re
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
TSC = os.path.join(HERE, "node_modules", ".bin", "tsc")

_ERROR = re.compile(r"^(\S+)\.ts\(\d+,\d+\): error \S+: (.*)$")


def complaints(renderings, folder):
    """`renderings`: name -> objects. Returns name -> what tsc has against them. Writes into `folder`."""
    os.symlink(os.path.join(HERE, "node_modules"), os.path.join(folder, "node_modules"))
    for name, objects in renderings.items():
        with open(os.path.join(folder, f"{name}.ts"), "w") as out:
            for i, thing in enumerate(thing for thing in objects if not thing["apiVersion"].startswith("monitoring.coreos.com/")):
                module = thing["apiVersion"] if "/" in thing["apiVersion"] else "core/" + thing["apiVersion"]
                module = module.replace(".k8s.io/", "/")
                out.write(f"import {{ {thing['kind']} as T{i} }} from 'kubernetes-types/{module}';\n")
                out.write(f"export const o{i}: T{i} = {json.dumps(thing, indent=1)};\n")
    with open(os.path.join(folder, "tsconfig.json"), "w") as out:
        json.dump({"compilerOptions": {"strict": True, "noEmit": True, "module": "nodenext", "types": []}, "include": ["*.ts"]}, out)
    run = subprocess.run([TSC, "--project", ".", "--pretty", "false"], cwd=folder, capture_output=True, text=True, timeout=60,
                         check=False)
    found = {}
    for line in run.stdout.splitlines():
        error = _ERROR.match(line)
        if error:
            found.setdefault(error[1], []).append(error[2])
    if run.returncode != 0 and not found:
        raise RuntimeError(f"tsc failed: {run.stdout}{run.stderr}")
    return found
