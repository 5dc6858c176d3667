"""Django Channels with Redis between the workers: a chat room, and a worker's own counts."""

import os

from django.conf import settings

settings.configure(ALLOWED_HOSTS=["*"], SECRET_KEY="s" * 32, ROOT_URLCONF=__name__, INSTALLED_APPS=["channels"], LOGGING_CONFIG=None,
                   CHANNEL_LAYERS={"default": {"BACKEND": "channels_redis.%s" % os.environ["LAYER"],
                                               "CONFIG": {"hosts": [os.environ["REDIS"]]}}})

from channels.generic.websocket import AsyncJsonWebsocketConsumer  # noqa: E402
from channels.layers import get_channel_layer  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402
from django.http import HttpResponse  # noqa: E402
from django.urls import path  # noqa: E402


class Chat(AsyncJsonWebsocketConsumer):
    async def connect(self):
        await self.channel_layer.group_add("room", self.channel_name)
        await self.accept()
        await self.send_json({"worker": os.getpid()})

    async def receive_json(self, content):
        await self.channel_layer.group_send("room", {"type": "chat.message", "text": content["text"]})

    async def chat_message(self, event):
        await self.send_json({"text": event["text"]})

    async def disconnect(self, code):
        await self.channel_layer.group_discard("room", self.channel_name)


async def tell(request):
    """A message from a view, which has no WebSocket of its own."""
    await get_channel_layer().group_send("room", {"type": "chat.message", "text": request.GET["text"]})
    return HttpResponse(str(os.getpid()))


urlpatterns = [path("tell", tell)]
application = ProtocolTypeRouter({"http": get_asgi_application(), "websocket": URLRouter([path("ws", Chat.as_asgi())])})
