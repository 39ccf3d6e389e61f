"""The studio as a web page (Gradio): what a visitor sees, and what a server lets in."""
