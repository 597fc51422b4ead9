"""The words of the proto's enums: lastmile.notification.v1's numbers in the words of the tables."""

from lastmile.notification.v1 import channel_pb2, message_pb2

CHANNELS = {n: name.removeprefix("CHANNEL_").lower() for name, n in channel_pb2.Channel.items() if n}
CHANNEL_NUMBERS = {word: number for number, word in CHANNELS.items()}
AUDIENCES = {n: name.removeprefix("AUDIENCE_").lower() for name, n in channel_pb2.Audience.items() if n}
AUDIENCE_NUMBERS = {word: number for number, word in AUDIENCES.items()}
STATE_NUMBERS = {name.removeprefix("MESSAGE_STATE_").lower(): n for name, n in message_pb2.MessageState.items() if n}
