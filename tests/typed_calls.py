"""Calls as users write them, checked by mypy and never run. An unneeded `type: ignore` is an error too."""

import impasto

impasto.stylize("photo.jpg", "painting.jpg", size=1024, strength=0.7)
impasto.stylize("photo.jpg", "painting.jpg", preset="gatys2015", seed=1)
impasto.stylize("photo.jpg", "painting.jpg", strenght=0.7)  # type: ignore[call-arg]
impasto.stylize("photo.jpg", "painting.jpg", size="large")  # type: ignore[arg-type]
impasto.stylize("photo.jpg", "painting.jpg", optimizer="sgd")  # type: ignore[arg-type]
impasto.iter_stylize("photo.jpg", "painting.jpg", step=3)  # type: ignore[call-arg]
impasto.plan_stylize("photo.jpg", "painting.jpg", on_download=print)  # type: ignore[call-arg]
impasto.stylize_fast("photo.jpg", "painting.jpg", size=512)
impasto.stylize_fast("photo.jpg", "painting.jpg", steps=3)  # type: ignore[call-arg]
impasto.FastStylizer("painting.jpg", beta=1.0)  # type: ignore[call-arg]
impasto.reconstruct_content("photo.jpg", layer="conv3_1")
impasto.reconstruct_content("photo.jpg", layers="conv3_1")  # type: ignore[call-arg]
impasto.iter_reconstruct_content("photo.jpg", layers="conv3_1")  # type: ignore[call-arg]
impasto.reconstruct_style("painting.jpg", size="384x256", tileable=True)
impasto.reconstruct_style("painting.jpg", size=384)  # type: ignore[arg-type]
impasto.reconstruct_style("painting.jpg", layer="conv3_1")  # type: ignore[call-arg]
impasto.iter_reconstruct_style("painting.jpg", layer="conv3_1")  # type: ignore[call-arg]
impasto.features("photo.jpg", layer="conv2_1", gram=True)
impasto.features("photo.jpg", grams=True)  # type: ignore[call-arg]
impasto.figure(1, "photo.jpg", "painting.jpg", "figure.png", steps=9)
impasto.figure(1, "photo.jpg", "painting.jpg", "figure.png", strength=1.0)  # type: ignore[call-arg]
impasto.iter_figure(1, "photo.jpg", "painting.jpg", "figure.png", strength=1.0)  # type: ignore[call-arg]
impasto.batch([("photo.jpg", "painting.jpg")], "out", effort="draft")
impasto.batch([("photo.jpg", "painting.jpg")], "out", efort="draft")  # type: ignore[call-arg]
impasto.iter_batch([("photo.jpg", "painting.jpg")], "out", efort="draft")  # type: ignore[call-arg]
impasto.train("painting.jpg", "photos", steps=9).save("model.safetensors")
impasto.train("painting.jpg", "photos", optimizer="adam")  # type: ignore[call-arg]
impasto.iter_train("painting.jpg", "photos", optimizer="adam")  # type: ignore[call-arg]
impasto.paper_loss("photo.jpg", "painting.jpg", "out.png", alpha=1.0)
impasto.paper_loss("photo.jpg", "painting.jpg", "out.png", gamma=1.0)  # type: ignore[call-arg]
impasto.measure("photo.jpg", "painting.jpg", "out.png", size=256)
impasto.measure("photo.jpg", "painting.jpg", "out.png", steps=3)  # type: ignore[call-arg]
