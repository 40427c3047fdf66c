"""Serve a checkpoint with FastAPI. Usage: serve.py CHECKPOINT PORT."""

# mypy: disable-error-code="import-not-found, misc"
# Its packages are in this contender's own environment.

import sys
from typing import Any

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from transformers import pipeline


class Request(BaseModel):
    """What is posted."""

    text: str


def application(model: str) -> FastAPI:
    """An application whose sync endpoint FastAPI runs in its pool of threads."""
    app = FastAPI()
    classifier = pipeline("text-classification", model=model)

    def classify(request: Request) -> Any:
        return classifier(request.text, truncation=True)[0]

    def health() -> str:
        return "ready"

    app.post("/classify")(classify)
    app.get("/health")(health)
    return app


def main() -> None:
    """Load the checkpoint, then listen."""
    model, port = sys.argv[1:]
    uvicorn.run(application(model), host="127.0.0.1", port=int(port), log_level="warning")


if __name__ == "__main__":
    main()
