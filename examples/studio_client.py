"""Let a studio paint, which is an `impasto web` on this machine or another.

python examples/studio_client.py ADDRESS PHOTO PAINTING OUT [--size PIXELS]

It needs only the package gradio_client.
"""

import argparse
import shutil

from gradio_client import Client, handle_file

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
for name in ("address", "photo", "painting", "out"):
    parser.add_argument(name)
parser.add_argument("--size", type=int, default=256, help="longest side in pixels [256]")
options = parser.parse_args()

studio = Client(options.address, verbose=False)
pictures = handle_file(options.photo), handle_file(options.painting)
settings = {"size": options.size, "strength": 0.6}  # any in docs/settings.md that is not about the machine

plan = studio.predict(*pictures, settings, api_name="/plan")
print(f"{plan['width']}×{plan['height']} pixels, about {plan['seconds']:.0f} s")

job = studio.submit(*pictures, settings, api_name="/paint")
for _, facts in job:  # one item for every change, until the job is done
    step = f"step {facts['step']} of {facts['steps']}, loss {facts['loss']:.3g}" if "step" in facts else ""
    print(facts["state"], step or facts["text"])

file, _ = job.result()
shutil.copy(file, options.out)
print(f"The painting is {options.out}")
