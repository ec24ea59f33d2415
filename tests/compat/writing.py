"""A small suite of v1, to be run."""

import textwrap

# written for v1: it knows nothing of labdaq
MODULE = """
    import os, time
    import numpy as np
    from mimocorb import mimo_buffer as bm
    from mimocorb.buffer_control import rbImport, rbTransfer, rb_toTxtfile, rbDrain
    import neighbour

    def source(source_list=None, sink_list=None, observe_list=None, config_dict=None, **rb_info):
        def events():
            for n in range(config_dict["events"]):
                time.sleep(0.001)
                yield [np.full(3, n)], None
            yield None, None
        rbImport(sink_list, config_dict, events, **rb_info)()

    def every_second(source_list=None, sink_list=None, observe_list=None, config_dict=None, **rb_info):
        def keep(data):
            n = data["n"][0]
            if n == config_dict.get("die_at"):
                os.kill(os.getpid(), 9)
            if n == config_dict.get("die_once_at") and not os.path.exists("died"):
                open("died", "x").close()
                os.kill(os.getpid(), 9)
            if n % 2:
                return None
            record = np.zeros(1, sink_list[0]["dtype"])
            record["half"] = neighbour.half(n)
            return [record]
        rbTransfer(source_list, sink_list, config_dict, keep, **rb_info)()

    def save(source_list=None, sink_list=None, observe_list=None, config_dict=None, **rb_info):
        rb_toTxtfile(source_list, config_dict, **rb_info)()

    def drain(source_list=None, sink_list=None, observe_list=None, config_dict=None, **rb_info):
        assert bm.__name__ == "labdaq.compat.mimocorb.mimo_buffer"
        rbDrain(source_list, config_dict, **rb_info)()
"""
BUFFERS = """
    KBD_control: {keyboard}
    RingBuffer:
      - RB_1: {{number_of_slots: 16, channel_per_slot: 3, data_type: {{1: [n, int64]}}}}
      - RB_2: {{number_of_slots: 8, channel_per_slot: 1, data_type: {{1: [half, int64]}}}}
    Functions:
      - Fkt_main: {{runevents: {runevents}}}
      - Fkt_1: {{file_name: modules/mine, fkt_name: source, num_process: 1, RB_assign: {{RB_1: write}}}}
"""
CHAIN = """\
      - Fkt_2:
          {file_name: modules/mine, fkt_name: every_second, num_process: 1, RB_assign: {RB_1: read, RB_2: write}}
      - Fkt_3: {file_name: modules/mine, fkt_name: save, num_process: 1, RB_assign: {RB_2: read}}
"""
DRAIN = "  - Fkt_2: {file_name: modules/mine, fkt_name: drain, num_process: 1, RB_assign: {RB_1: read}}\n"


def suite(folder, functions=CHAIN, *, config="", events=100000, runevents=0, keyboard="false"):
    """Write a suite; the path of its setup file."""
    (folder / "modules").mkdir()
    (folder / "modules/mine.py").write_text(textwrap.dedent(MODULE))
    (folder / "modules/neighbour.py").write_text("def half(n):\n    return n // 2\n")
    text = textwrap.dedent(BUFFERS.format(runevents=runevents, keyboard=keyboard))
    text += textwrap.indent(textwrap.dedent(functions), "  ")
    text += f"FunctionConfigs:\n  source: {{events: {events}}}\n  save: {{filename: halves}}\n{config}"
    (folder / "small_setup.yaml").write_text(text)
    return folder / "small_setup.yaml"
