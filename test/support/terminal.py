"""Runs a command on a terminal of its own: terminal.py '[["Password: ", "secret"], ...]' COMMAND ARG...

Each answer is typed when its question has appeared. Prints what the terminal showed; ends as the command does."""
import json
import os
import pty
import select
import sys

answers = json.loads(sys.argv[1])
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(sys.argv[2], sys.argv[2:])
shown = b''
asked = 0
while select.select([terminal], [], [], 15)[0]:
    try:
        chunk = os.read(terminal, 4096)
    except OSError:  # the command has ended
        break
    if not chunk:
        break
    shown += chunk
    if answers and answers[0][0].encode() in shown[asked:]:
        asked = len(shown)
        os.write(terminal, answers.pop(0)[1].encode() + b'\r')
sys.stdout.buffer.write(shown)
sys.stdout.flush()
os._exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
