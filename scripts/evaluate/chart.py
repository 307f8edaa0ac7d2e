"""Quality against bit rate, a panel for each measure."""
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.ticker import FuncFormatter

COLOURS = {"mimi": "#31688e", "Opus": "#d95f02", "Codec 2": "#7a7a7a"}


def draw(report, measures, path):
    """`measures` are of report's results: (key, label, whether more is better)."""
    figure, axes = plt.subplots(1, len(measures), figsize=(4 * len(measures), 4),
                                layout="constrained")
    for panel, (key, label, more_is_better) in zip(axes, measures):
        for codec in dict.fromkeys(result["codec"] for result in report["results"]):
            points = [(result["kilobits_per_second"], result[key]) for result in report["results"]
                      if result["codec"] == codec and result[key] is not None]
            panel.plot(*zip(*points), marker="o", label=codec, color=COLOURS[codec])
        panel.set_xscale("log")
        panel.set_xticks([0.125, 0.25, 0.5, 1, 2, 4, 8, 16])
        panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        panel.minorticks_off()
        panel.set_xlabel("kbit/s, codes alone")
        panel.set_title(f"{label} ({'more' if more_is_better else 'less'} is better)", fontsize=10)
        panel.grid(alpha=0.3)
    axes[0].legend()
    figure.suptitle(f"{report['model']}, {report['recordings']} recordings, "
                    f"{report['seconds']:.0f} s")
    figure.savefig(path, dpi=120)
