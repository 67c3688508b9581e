"""A fit leaves the process as it was, also when several run at once."""

import subprocess
import sys
import textwrap


def test_overlapping_fits_leave_the_number_of_threads_as_it_was():
    """The number of BLAS threads is set when the process starts, so the test has a process of its own."""
    code = """
        import os
        os.environ |= {"OPENBLAS_NUM_THREADS": "3", "OMP_NUM_THREADS": "3", "MKL_NUM_THREADS": "3"}
        import numpy, threading, threadpoolctl
        from glmmlib.linalg.resources import one_blas_thread

        def threads():
            return [i["num_threads"] for i in threadpoolctl.threadpool_info() if i["user_api"] == "blas"]

        before, during = threads(), []
        first_in, second_in, first_out = (threading.Event() for _ in range(3))

        def first():
            with one_blas_thread():
                first_in.set()
                second_in.wait()
            first_out.set()

        def second():
            first_in.wait()
            with one_blas_thread():
                second_in.set()
                first_out.wait()
                during.append(threads())

        pool = [threading.Thread(target=work) for work in (first, second)]
        [t.start() for t in pool], [t.join() for t in pool]
        try:
            with one_blas_thread(), one_blas_thread():
                during.append(threads())
                raise KeyError
        except KeyError:
            pass
        assert set(sum(during, [])) == {1}, during
        assert threads() == before, threads()
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
