"""Our own frames as a program that speaks `vgic.conformance.lines`; the first argument is a fault."""

import sys

from vgic.conformance.ours import OurTarget

fault = sys.argv[1] if len(sys.argv) > 1 else ""
target = OurTarget()


def answer(verb, words):
    if verb == "describe":
        wrong = {"facts": "colour=blue", "number": "vcpus=many", "alone": "vcpus=1"}
        return wrong.get(fault, "name=ours vcpus=4 devices=0x18,0x19 gits=0x8080000")
    if verb == "load":
        return target.load(int(words[0], 0), int(words[1], 0)).hex()[: 2 if fault == "short" else None]
    if verb == "store":
        return target.store(int(words[0], 0), bytes.fromhex(words[1]))
    found = getattr(target, verb)(*(int(word, 0) for word in words))
    return "nothing" if found is None and verb in ("pending", "acknowledge") else found


for line in sys.stdin:
    verb, *words = line.split()
    if fault == "dies" and verb == "msi":
        sys.exit(3)
    if fault == "error" and verb == "msi":
        print("error no such device", flush=True)
        continue
    found = answer(verb, words)
    print("ok" if found is None else f"ok {found}", flush=True)
