"""FastAPI, a route that answers with JSON."""

from fastapi import FastAPI

application = FastAPI()


@application.get("/")
async def home():
    return {"message": "Hello, World!"}
