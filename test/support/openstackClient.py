# Runs commands of the distribution's OpenStack client, each in a process of its own that is forked from one that has loaded the client,
# because loading it takes longer than most commands. Reads one JSON object a line: id, words, env, the files for what the command says.
# Prints one a line, when a command has ended: id and status. Ends with its standard input.
import json
import os
import select
import signal
import sys
from importlib.metadata import entry_points

from openstackclient.shell import main

for group, entries in entry_points().items():
    if group.startswith("openstack."):
        for entry in entries:
            try:
                entry.load()
            except Exception:  # A plugin that is broken is so for the installed command as well.
                pass

SECONDS = 180
running = {}


def reap():
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        print(json.dumps({"id": running.pop(pid), "status": os.waitstatus_to_exitcode(status)}), flush=True)


def become(order):
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.alarm(SECONDS)
    os.environ.clear()
    os.environ.update(order["env"])
    os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(order[name], os.O_WRONLY | os.O_CREAT, 0o600), number)
    sys.argv = ["openstack", *order["words"]]
    sys.exit(main(order["words"]))


# The end of a child comes by a pipe: a handler is not run while a read blocks that began just before the signal was noted.
ended, end = os.pipe()
os.set_blocking(end, False)
signal.set_wakeup_fd(end)
signal.signal(signal.SIGCHLD, lambda *_: None)
text = b""
while True:
    ready, _, _ = select.select([0, ended], [], [])
    if ended in ready:
        os.read(ended, 4096)
        reap()
    if 0 in ready:
        piece = os.read(0, 65536)
        if not piece:
            break
        *lines, text = (text + piece).split(b"\n")
        for line in lines:
            order = json.loads(line)
            pid = os.fork()
            if pid == 0:
                become(order)
            running[pid] = order["id"]
