"""Let a studio paint: python examples/studio_client.py ADDRESS PHOTO PAINTING OUT [--size PX].

The studio is `impasto web`, here or on another machine; this program needs the package gradio_client alone.
"""

import argparse
import shutil

from gradio_client import Client, handle_file

arguments = argparse.ArgumentParser(description=__doc__)
for name in ("address", "photo", "painting", "out"):
    arguments.add_argument(name)
arguments.add_argument("--size", type=int, default=256)
chosen = arguments.parse_args()

studio = Client(chosen.address, verbose=False)
pictures = handle_file(chosen.photo), handle_file(chosen.painting)
settings = {"size": chosen.size, "strength": 0.6}  # any of docs/settings.md that is not about the machine

plan = studio.predict(*pictures, settings, api_name="/plan")
print(f"{plan['width']}×{plan['height']} pixels, about {plan['seconds']:.0f} s")

job = studio.submit(*pictures, settings, api_name="/paint")
for _, facts in job:  # one for every change, until it is done
    where = f"step {facts['step']} of {facts['steps']}, loss {facts['loss']:.3g}" if "step" in facts else ""
    print(facts["state"], where or facts["text"])

file, facts = job.result()
shutil.copy(file, chosen.out)
print("painted", chosen.out)
